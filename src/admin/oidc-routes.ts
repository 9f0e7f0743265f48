import { z } from 'zod'
import { deviceProofSchema } from '../security/devices.ts'
import type { OidcSignIn } from '../security/oidc.ts'
import { loginReplySchema } from './auth-routes.ts'
import type { Resources } from './pipeline.ts'
import { route } from './route.ts'
import { meOf } from './views.ts'

const TAG = 'Sign-in'

/** Which ways in there are, for a page that asks somebody to sign in. */
export function signInMethodRoutes(oidc: boolean): Resources {
  return (api, deps) => {
    route(api, deps, {
      method: 'GET', path: '/auth/methods', permission: 'public', audit: null, tag: TAG,
      summary: 'How people may sign in here',
      replies: { 200: z.object({ password: z.literal(true), oidc: z.boolean() }) },
      handler: async () => ({ status: 200, body: { password: true as const, oidc } }),
    })
  }
}

/**
 * Sign-in through the configured OpenID provider, in two posts by the page that the person looks at: the first gives the address to
 * go to, the second takes what the provider sent back to the callback page. Where no provider is configured there are no such routes.
 */
export function oidcRoutes(oidc: OidcSignIn): Resources {
  return (api, deps) => {
    route(api, deps, {
      method: 'POST', path: '/auth/oidc/start', permission: 'public', audit: 'self', tier: 'login', tag: TAG,
      summary: 'Begin a sign-in through the identity provider; keep `flow` in the page, it finishes the sign-in once',
      replies: { 200: z.object({ authorizationUrl: z.url(), flow: z.string(), expiresIn: z.int().describe('Seconds') }) },
      handler: async ({ signal }) => ({ status: 200, body: await oidc.start(signal) }),
    })

    route(api, deps, {
      method: 'POST', path: '/auth/oidc/login', permission: 'public', audit: 'self', tier: 'login', tag: TAG,
      summary: 'Finish it with what the provider put into the callback; the device proves its key for `state`',
      body: z.strictObject({
        flow: z.string().min(1).max(200),
        code: z.string().min(1).max(2000),
        state: z.string().min(1).max(200),
        iss: z.string().max(500).optional(),
        device: deviceProofSchema.optional(),
      }),
      replies: { 200: loginReplySchema },
      handler: async ({ body, state, signal }) => {
        const { flow, code, iss = null, device = null } = body
        const reply = await oidc.finish({ flow, code, state: body.state, iss, device, client: state.client }, signal)
        return { status: 200, body: { ...reply, user: meOf(reply.user) } }
      },
    })
  }
}
