import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { secretNameSchema, secretValueSchema, type CompanySecrets } from '../security/secret-box.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import type { Resources } from './pipeline.ts'

const TAG = 'Secrets'
const BASE = '/companies/:companyId/secrets'
const secretParams = companyParams.extend({ name: secretNameSchema })
const factsSchema = z.object({ name: z.string(), keyId: z.string(), setAt: z.string() })

/** A company's own tokens and keys: they go in and are used, they never come out. */
export function secretRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: BASE, permission: 'config:read', audit: null, tag: TAG, summary: 'Which secrets are set; never what they are',
      params: companyParams, replies: { 200: z.object({ items: z.array(factsSchema) }) },
      handler: async ({ companyId, signal }) => ({ status: 200, body: { items: await vault().list(companyId, signal) } }),
    })

    companyRoute(api, deps, {
      method: 'PUT', path: `${BASE}/:name`, permission: 'config:write', audit: 'secret.set', tag: TAG, summary: 'Set or replace a secret',
      params: secretParams, body: z.strictObject({ value: secretValueSchema }), replies: { 200: factsSchema },
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `secret/${params.name}`
        const facts = await vault().set(companyId, params.name, body.value, signal)
        ports.saved(companyId)
        return { status: 200, body: facts }
      },
    })

    companyRoute(api, deps, {
      method: 'DELETE', path: `${BASE}/:name`, permission: 'config:write', audit: 'secret.delete', tag: TAG, summary: 'Forget a secret',
      params: secretParams, replies: { 204: z.undefined() },
      handler: async ({ companyId, params, state, signal }) => {
        state.auditTarget = `secret/${params.name}`
        if (!(await vault().remove(companyId, params.name, signal))) throw new ClientsViaError('NOT_FOUND', 'no such secret')
        ports.saved(companyId)
        return { status: 204 }
      },
    })
  }

  function vault(): CompanySecrets {
    if (ports.secrets === null) throw new ClientsViaError('ENGINE_UNAVAILABLE', 'secrets cannot be kept: no master key is configured')
    return ports.secrets
  }
}
