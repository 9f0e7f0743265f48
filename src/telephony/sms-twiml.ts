import MessagingResponse from 'twilio/lib/twiml/MessagingResponse.js'

/** What a texter reads next; null: nothing. */
export function textTwiml(answer: string | null): string {
  const response = new MessagingResponse()
  // Control characters have no place in XML 1.0.
  if (answer !== null) response.message(answer.toWellFormed().replace(/[^\P{Cc}\t\n\r]/gu, ''))
  return response.toString()
}
