/** The way out for messages to people: e-mail, SMS, whatever the events room offers. */
export interface SecurityNotifier {
  passwordReset(message: Readonly<{ email: string; name: string; token: string; expiresInMinutes: number }>, signal?: AbortSignal): Promise<void>
}

/**
 * The default until a channel is configured: it hands the one-use token to the operator's console, where the first password is
 * printed too, and says why. `print` must be the console and never the log: logs are kept and copied.
 */
export class ConsoleNotifier implements SecurityNotifier {
  readonly #print: (line: string) => void

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  async passwordReset(message: Readonly<{ email: string; name: string; token: string; expiresInMinutes: number }>, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#print(
      `No notification channel is configured, so nothing was sent to ${message.email}. ` +
        `Hand over this one-use password reset token yourself (${message.expiresInMinutes} minutes): ${message.token}`,
    )
  }
}
