/**
 * This browser's key: made once, kept where scripts can use it and nobody can read it out. It signs what the server asks it to, which
 * is what makes a copied password or token worthless elsewhere.
 */
const DATABASE = 'clientsvia'
const STORE = 'keys'
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }

export async function proofOf(purpose, subject, challenge) {
  const pair = await keyPair()
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  const text = new TextEncoder().encode(`clientsvia-device-proof\n${purpose}\n${subject}\n${challenge}`)
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, text)
  return { publicKey: { kty, crv, x, y }, challenge, signature: base64url(new Uint8Array(signature)), label: labelOf(navigator.userAgent) }
}

async function keyPair() {
  const known = await inStore('readonly', (store) => store.get('device'))
  if (known !== undefined) return known
  const made = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify'])
  await inStore('readwrite', (store) => store.put(made, 'device'))
  return made
}

async function inStore(mode, work) {
  const database = await settled(Object.assign(indexedDB.open(DATABASE, 1), { onupgradeneeded: (event) => event.target.result.createObjectStore(STORE) }))
  try {
    return await settled(work(database.transaction(STORE, mode).objectStore(STORE)))
  } finally {
    database.close()
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** What its owner will recognise in the list of devices. */
export function labelOf(userAgent) {
  const browser = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari'].find((name) => userAgent.includes(`${name}/`)) ?? 'Browser'
  const system = [['Windows', 'Windows'], ['Mac OS', 'Mac'], ['Android', 'Android'], ['iPhone', 'iPhone'], ['Linux', 'Linux']].find(([mark]) => userAgent.includes(mark))?.[1] ?? 'unknown system'
  return `${browser === 'Edg' ? 'Edge' : browser === 'OPR' ? 'Opera' : browser} on ${system}`
}
