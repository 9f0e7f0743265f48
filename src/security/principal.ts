import type { ApiKey, BreakGlass, User } from './records.ts'
import { permissionsOf, type Permission, type Role } from './roles.ts'

/** Who a request is from, once token, device and session have been checked. */
export type Principal = Readonly<{
  kind: 'user' | 'api-key'
  /** User id or key id. */
  id: string
  companyId: string
  role: Role | null
  permissions: ReadonlySet<Permission>
  sessionId: string | null
  deviceId: string | null
  /** A grant that came with the request and covers it. */
  breakGlass: BreakGlass | null
}>

export function principalOfUser(user: User, session: Readonly<{ id: string; deviceId: string }>): Principal {
  return {
    kind: 'user',
    id: user.id,
    companyId: user.companyId,
    role: user.role,
    permissions: permissionsOf(user.companyId, user.role),
    sessionId: session.id,
    deviceId: session.deviceId,
    breakGlass: null,
  }
}

/** A key holds its scopes, and never more than its company's owner could hold. */
export function principalOfKey(key: ApiKey): Principal {
  const most = permissionsOf(key.companyId, 'owner')
  return {
    kind: 'api-key',
    id: key.id,
    companyId: key.companyId,
    role: null,
    permissions: new Set(key.scopes.filter((scope) => most.has(scope))),
    sessionId: null,
    deviceId: null,
    breakGlass: null,
  }
}
