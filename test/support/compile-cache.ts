/**
 * Loaded before every test file (.taprc): what one process has read of TypeScript and compiled, the next ones take from disk, servers that
 * tests start included. A test file spends half of its start on that. Entries are found by their content; the folder may be deleted.
 */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../node_modules/.cache/compiled')
process.env['NODE_COMPILE_CACHE'] = folder
enableCompileCache(folder)
