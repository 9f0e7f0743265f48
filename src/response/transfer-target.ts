import type { Company, TransferTarget } from '../tenancy/company.ts'
import type { CallAction } from './responder.ts'
import { likeness, plainText, words } from './words.ts'

/** Whom the caller names, by label or alias; null when nobody of the company's list is named. Never anything but the list. */
export function namedTarget(company: Company, plain: string): TransferTarget | null {
  const heard = words(plain)
  let best: { target: TransferTarget; length: number } | null = null
  for (const target of byPriority(company)) {
    for (const name of [...target.aliases, target.label]) {
      const wanted = words(plainText(name))
      if (wanted.length === 0 || wanted.length <= (best?.length ?? 0)) continue
      const isNamed = heard.some((_, start) => wanted.every((word, index) => {
        const at = heard[start + index]
        return at !== undefined && likeness(at, word) >= 0.85
      }))
      if (isNamed) best = { target, length: wanted.length }
    }
  }
  return best?.target ?? null
}

export function isReachable(target: TransferTarget, companyIsOpen: boolean): boolean {
  return target.enabled && (target.availability === 'always' || companyIsOpen)
}

/** Whoever answers for the company now; the on-call line is for emergencies only. */
export function anyTarget(company: Company, companyIsOpen: boolean): TransferTarget | null {
  return byPriority(company).find((target) => !target.onCall && isReachable(target, companyIsOpen)) ?? null
}

export function onCallTarget(company: Company, companyIsOpen: boolean): TransferTarget | null {
  return byPriority(company).find((target) => target.onCall && isReachable(target, companyIsOpen)) ?? anyTarget(company, companyIsOpen)
}

/** The target that an entry's tags name, by id: a question about a bill is for billing. */
export function targetForTags(company: Company, tags: readonly string[], companyIsOpen: boolean): TransferTarget | null {
  const tagged = byPriority(company).filter((target) => tags.includes(target.id))
  const reachable = tagged.find((target) => isReachable(target, companyIsOpen))
  return reachable ?? anyTarget(company, companyIsOpen)
}

export function targetById(company: Company, id: string): TransferTarget | null {
  return company.transferTargets.find((target) => target.id === id && target.enabled) ?? null
}

export function transferTo(target: TransferTarget): CallAction {
  return { kind: 'transfer', phoneNumberE164: target.phoneNumberE164, label: target.label, timeoutSeconds: target.timeoutSeconds }
}

function byPriority(company: Company): TransferTarget[] {
  return company.transferTargets.filter((target) => target.enabled).sort((a, b) => b.priority - a.priority)
}
