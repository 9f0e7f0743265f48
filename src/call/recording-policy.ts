import type { Company } from '../tenancy/company.ts'

/**
 * Area codes of the states where everybody on the line has to agree before a call may be recorded (California, Connecticut, Delaware,
 * Florida, Illinois, Maryland, Massachusetts, Michigan, Montana, Nevada, New Hampshire, Oregon, Pennsylvania, Washington). Telephones
 * travel, so this is where a number was given out, not where its owner is: who must be certain announces everywhere or records nothing.
 */
const ALL_PARTY_AREA_CODES = new Set(
  [
    '209 213 279 310 323 341 350 369 408 415 424 442 510 530 559 562 619 626 628 650 657 661 669 707 714 738 747 760 805 818 820 831 837 840 858 909 916 925 949 951',
    '203 475 860 959 302',
    '239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954',
    '217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 861 872',
    '227 240 301 410 443 667 339 351 413 508 617 774 781 857 978',
    '231 248 269 313 517 586 616 679 734 810 906 947 989 406 702 725 775 603',
    '458 503 541 971 215 223 267 272 412 445 484 570 582 610 717 724 814 835 878',
    '206 253 360 425 509 564',
  ].flatMap((line) => line.split(' ')),
)

/** A number that is withheld, foreign or not a number may be anybody's: the stricter rule holds. */
export function isAllPartyNumber(number: string): boolean {
  const areaCode = /^\+1([2-9]\d{2})\d{7}$/.exec(number)?.[1]
  return areaCode === undefined || ALL_PARTY_AREA_CODES.has(areaCode)
}

/** What a caller has to hear before this call may be recorded; null where it is not recorded at all. */
export function recordingNotice(company: Pick<Company, 'recording' | 'retention'>, call: Readonly<{ from: string; to: string }>): string | null {
  const { mode, allPartyStates, notice } = company.recording
  // What would be deleted at the next sweep is better not made.
  if (mode === 'off' || company.retention.audioDays === 0) return null
  if (allPartyStates === 'do-not-record' && (isAllPartyNumber(call.from) || isAllPartyNumber(call.to))) return null
  return notice
}

const REFUSALS = [
  /\b(?:do not|don'?t|dont|not|stop|quit|never|without)\s+(?:you\s+|be\s+|to\s+be\s+|being\s+|get\s+|getting\s+|want\s+to\s+be\s+|want\s+you\s+to\s+|like\s+being\s+|like\s+to\s+be\s+|consent\s+to\s+(?:being\s+|be\s+)?|agree\s+to\s+(?:being\s+|be\s+)?)*(?:the\s+|this\s+|that\s+|a\s+|any\s+|my\s+)?(?:record|recorded|recording|tape|taped|taping)\b/i,
  /\b(?:do not|don'?t)\s+(?:consent|agree)\b(?!.*\b(?:price|quote|bill)\b)/i,
  /\bno\s+(?:recording|taping)\b/i,
  /\b(?:turn|switch|shut)\s+(?:off\s+)?(?:the\s+|that\s+|your\s+|this\s+)?record(?:ing|er)\b/i,
  /\bkeep\s+(?:me|this)\s+off\s+the\s+record\b/i,
]

/** The caller does not want to be recorded. Rather once too often than once too seldom: nothing but a recording is lost by it. */
export function refusesRecording(text: string): boolean {
  return REFUSALS.some((pattern) => pattern.test(text))
}

/** Nothing else was said that would want an answer. */
export function onlyRefusesRecording(text: string): boolean {
  return refusesRecording(text) && (text.match(/[\p{L}\d']+/gu)?.length ?? 0) <= 9 && !text.includes('?')
}
