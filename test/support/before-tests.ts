/**
 * Loaded before every test file (.taprc). What one process has read of TypeScript and compiled, the next ones take from disk, servers that
 * tests start included. A test file spends half of its start on that. Entries are found by their content; the folder may be deleted.
 */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../node_modules/.cache/compiled')
process.env['NODE_COMPILE_CACHE'] = folder
enableCompileCache(folder)

// A server in earnest turns calls away when its machine is too busy; those that tests start answer all the same.
process.env['LOOP_LAG_LIMIT_MS'] ??= '600000'
