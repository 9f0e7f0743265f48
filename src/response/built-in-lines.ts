/** What every agent can say without being told. An agent's own lines and templates come first; these are short, and true of any company. */
export const LINES = {
  greeted: 'Hello. How can I help you?',
  welcome: "You're welcome.",
  anythingElse: 'Is there anything else?',
  goAhead: 'Sure, go ahead.',
  allRight: 'All right.',
  inaudibleAgain: 'Sorry, once more?',
  keypad: "I can't make out the words.",
  clarify: 'Could you tell me a little more about what you need?',
  robot: "I'm an automated assistant. I can answer questions, or connect you to a person.",
  whatElse: 'What can I do for you then?',
  offerPerson: 'Would you like to speak with a person?',
  offerMessage: 'Would you like to leave a message?',
  offerOnCall: 'Shall I connect you to our on-call line now?',
  englishOnly: "I'm sorry, I only speak English.",
  menu: 'Press zero for a person, one to leave a message, or nine to hear that again. Or just tell me what you need.',
  unsafeToSay: "I'm sorry, I can't answer right now. Please call back in a few minutes.",
} as const
