/** The one account that the stand-in knows. */
export const ACCOUNT = { accountSid: `AC${'7'.repeat(32)}`, authToken: 'a token that the stand-in knows' }
