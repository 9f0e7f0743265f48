const PAGES = new Set(['live', 'calls', 'bookings', 'knowledge', 'gaps', 'agent', 'account'])

/** What the address asks for; anything else is the live view. */
export function routeOf(hash) {
  const [page = '', callSid = ''] = hash.replace(/^#\/?/, '').split('/')
  if (page === 'calls' && callSid !== '') return { page: 'call', callSid: decodeURIComponent(callSid) }
  return { page: PAGES.has(page) ? page : 'live', callSid: null }
}
