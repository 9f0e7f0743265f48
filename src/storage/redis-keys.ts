/**
 * Every key of this server, built here and nowhere else. `cv:` first, so that a Redis may be shared; then the company, so that none can be
 * forgotten; `-` stands for what belongs to no company yet: a number, a token or a vendor's state.
 */
export function companyKey(companyId: string, kind: string, ...parts: readonly string[]): string {
  return ['cv', companyId, kind, ...parts].map(encodeURIComponent).join(':')
}

export function sharedKey(kind: string, ...parts: readonly string[]): string {
  return ['cv', '-', kind, ...parts].map(encodeURIComponent).join(':')
}
