import { z } from 'zod'

/**
 * Who may do what: the one table. Deny by default: a permission that a row does not name is not held, and a permission that is not a
 * row does not exist. Permissions are read from the stored role at every request, never from a token.
 */
export const ROLES = ['owner', 'admin', 'support', 'read_only'] as const
export const roleSchema = z.enum(ROLES)
export type Role = z.infer<typeof roleSchema>

type Row = Readonly<{ roles: readonly Role[]; /** Held only by people of the platform itself. */ platformOnly?: true }>

const TABLE = {
  'self:read': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'self:write': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'config:read': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'config:write': { roles: ['owner', 'admin'] },
  'calls:read': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'calls:write': { roles: ['owner', 'admin'] },
  'transcripts:read': { roles: ['owner', 'admin', 'support'] },
  'recordings:read': { roles: ['owner', 'admin', 'support'] },
  'bookings:read': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'bookings:write': { roles: ['owner', 'admin'] },
  'usage:read': { roles: ['owner', 'admin', 'support', 'read_only'] },
  'data:export': { roles: ['owner', 'admin'] },
  'data:erase': { roles: ['owner', 'admin'] },
  'users:read': { roles: ['owner', 'admin', 'support'] },
  'users:write': { roles: ['owner', 'admin'] },
  'api_keys:read': { roles: ['owner', 'admin'] },
  'api_keys:write': { roles: ['owner', 'admin'] },
  'break_glass:read': { roles: ['owner', 'admin', 'support'] },
  'break_glass:issue': { roles: ['owner', 'admin'] },
  'break_glass:use': { roles: ['support'] },
  'audit:read': { roles: ['owner', 'admin'] },
  'companies:list': { roles: ['owner', 'admin', 'support', 'read_only'], platformOnly: true },
  'companies:create': { roles: ['owner', 'admin'], platformOnly: true },
  'companies:delete': { roles: ['owner'], platformOnly: true },
  'diagnostics:admin': { roles: ['owner', 'admin'], platformOnly: true },
} as const satisfies Record<string, Row>

export type Permission = keyof typeof TABLE
export const PERMISSIONS = Object.keys(TABLE).sort() as readonly Permission[]
export const permissionSchema = z.enum(PERMISSIONS as [Permission, ...Permission[]])

/** What a break-glass grant may lend: writes a support colleague needs, never the power to make users, keys or more grants. */
export const BREAK_GLASS_PERMISSIONS = ['config:write', 'calls:write', 'bookings:write'] as const satisfies readonly Permission[]
export const breakGlassPermissionSchema = z.enum(BREAK_GLASS_PERMISSIONS)

/** What an API key may be given: no key can act on people, keys, grants, or on a session of its own. */
export const API_KEY_SCOPES = PERMISSIONS.filter((permission) => !/^(self|users|api_keys|break_glass):/.test(permission))
export const apiKeyScopeSchema = z.enum(API_KEY_SCOPES as [Permission, ...Permission[]])

/**
 * People and keys of the platform itself live under this companyId, so that companyId stays first in every key and query. It is not
 * a company: no call, agent or knowledge entry can carry it.
 */
export const PLATFORM = 'platform'

export function permissionsOf(companyId: string, role: Role): ReadonlySet<Permission> {
  const held = new Set<Permission>()
  for (const permission of PERMISSIONS) {
    const row: Row = TABLE[permission]
    if (row.platformOnly === true && companyId !== PLATFORM) continue
    if (row.roles.includes(role)) held.add(permission)
  }
  return held
}

/** Nobody hands out a role above their own. */
export function mayGrantRole(granter: Role, granted: Role): boolean {
  const rank: Record<Role, number> = { owner: 3, admin: 2, support: 1, read_only: 0 }
  return rank[granter] >= rank[granted] && rank[granter] >= rank.admin
}

/** A company is reached by its own people and keys, and by the platform's; for everybody else it does not exist. */
export function reachesCompany(ownCompanyId: string, companyId: string): boolean {
  return ownCompanyId === companyId || ownCompanyId === PLATFORM
}
