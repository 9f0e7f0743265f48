import type { SpeakableText } from '../core/speakable-text.ts'
import { LINES } from './built-in-lines.ts'
import type { CompanyContext } from './company-context.ts'
import { inCharacter } from './personality.ts'
import { polish } from './quality.ts'
import { hoursAt } from './spoken-hours.ts'
import { renderText, templateScope } from './templates.ts'

/**
 * Sentences that are worth having as ready audio, most important first: what is said when nothing else can be, then the agent's
 * lines, then every answer. `wallTime` matters for answers about being open; those change during the day.
 */
export function phrasesToWarm(context: CompanyContext, wallTime: Date): SpeakableText[] {
  const { company, agent } = context
  const hours = hoursAt(company, wallTime)
  const scope = templateScope(context, wallTime, hours)
  const { lines, greeting } = agent
  const afterHours = hours.open ? [] : [greeting.afterHours]
  const texts = [
    greeting.emergencyText,
    company.emergencyMessage,
    ...afterHours,
    greeting.text,
    ...lines.stall,
    greeting.returningCaller,
    lines.inaudible,
    ...lines.unknown,
    ...lines.silence,
    lines.goodbye,
    lines.hold,
    lines.resumed,
    lines.transfer,
    lines.noTransfer,
    lines.voicemail,
    ...agent.emergencyRules.map((rule) => rule.say),
    ...Object.values(LINES),
    `This is ${agent.personality.name}, the automated assistant of ${company.name}.`,
    greeting.afterHours,
    ...agent.templates.flatMap((template) => renderText(template.text, scope) ?? []),
    ...[...context.entryById.values()]
      .filter((entry) => entry.enabled)
      .sort((a, b) => b.priority - a.priority)
      .flatMap((entry) => [renderText(entry.answer, scope) ?? '', renderText(entry.followUp, scope) ?? '']),
  ].filter((text) => text !== '')
  const spoken = texts.flatMap((text) => polish(inCharacter([renderText(text, scope) ?? text], agent, { isAnswer: false, turn: 0 }), { maxWords: Infinity, greeted: false }))
  return [...new Set(spoken)]
}
