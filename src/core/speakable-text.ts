/** Text that has passed the one sanitizer (response/quality): no markup, no URL, no code, no "null". Only this may reach a voice. */
export type SpeakableText = string & { readonly __brand: 'SpeakableText' }
