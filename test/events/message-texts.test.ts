import t from 'tap'
import { FACTS, builtInTemplate, checkTemplate, everyTemplate, plainFact, renderMessage } from '../../src/events/message-texts.ts'
import { asGsm, textSegments } from '../../src/events/text-segments.ts'
import { company } from '../storage/fixtures.ts'

const hvac = company('a', { name: 'Polar Bay Air', phoneNumbers: ['+12395550100'] })
const dental = company('b', { name: 'Harbor Lane Dental', industry: 'dental', phoneNumbers: ['+16175550100'] })

t.test('a text is counted in the parts that are paid for', async (t) => {
  const cases: [string, object][] = [
    ['', { encoding: 'GSM-7', segments: 0 }],
    ['a'.repeat(160), { encoding: 'GSM-7', segments: 1, units: 160 }],
    ['a'.repeat(161), { encoding: 'GSM-7', segments: 2 }],
    ['a'.repeat(306), { segments: 2 }],
    ['a'.repeat(307), { segments: 3 }],
    ['€'.repeat(80), { encoding: 'GSM-7', segments: 1, units: 160 }],
    [`${'a'.repeat(152)}€${'a'.repeat(20)}`, { segments: 2, units: 174 }],
    [`${'a'.repeat(152)}€${'a'.repeat(152)}`, { segments: 3, units: 306 }],
    ['é à ñ Ü ß', { encoding: 'GSM-7' }],
    ['ç', { encoding: 'UCS-2' }],
    ['—'.repeat(70), { encoding: 'UCS-2', segments: 1 }],
    ['—'.repeat(71), { encoding: 'UCS-2', segments: 2 }],
    ['😀'.repeat(35), { encoding: 'UCS-2', segments: 1, units: 70 }],
    ['😀'.repeat(67), { encoding: 'UCS-2', segments: 3, units: 134 }],
  ]
  for (const [text, expected] of cases) t.match(textSegments(text), expected, text.slice(0, 12))
  t.equal(asGsm('“Dana’s” — 8–10…'), '"Dana\'s" - 8-10...')
})

t.test('every built-in text renders, says how to opt out where a customer reads it, and fits', async (t) => {
  for (const who of [hvac, dental]) {
    for (const [kind, channel] of everyTemplate()) {
      const report = checkTemplate(who, kind, channel, builtInTemplate(who, kind, channel))
      t.same(report.problems, [], `${kind} ${channel}`)
      t.ok((report.preview?.segments?.segments ?? 1) <= 2)
      const warnings = report.warnings.filter((warning) => !warning.startsWith('takes 2 parts'))
      if (!(who === hvac && channel === 'email')) t.same(warnings, [], `${who.industry} ${kind} ${channel}`)
    }
  }
})

t.test('a template may speak of what its kind knows, in every branch, and of nothing else', async (t) => {
  const check = (text: string, kind: 'reminder_day_before' | 'lead_for_people' = 'reminder_day_before') => checkTemplate(hvac, kind, 'sms', { subject: '', text })
  t.match(check('{{ customer_name }} at {{ when }}, {{ company.name }}. STOP').preview, { text: 'Dana Reyes at Tue, Mar 3, 8:00 AM, Polar Bay Air. STOP' })
  for (const [text, problem] of [
    ['{{ summary }}', /no \{\{ summary \}\}/],
    ['{{ company.prices }}', /no \{\{ company\.prices \}\}/],
    ['{% if customer_name == "x" %}{{ nonsense }}{% endif %}', /no \{\{ nonsense \}\}/],
    ['{{ when | shout }}', /undefined filter/],
    ['{{ when', /not closed/],
    ['{% include "secrets" %}', /./],
    ['{% for i in (1..100000) %}x{% endfor %}', /characters/],
    ['{% for i in (1..9000) %}{% for j in (1..9000) %}{% endfor %}{% endfor %}x', /memory/],
    ['{% if false %}x{% endif %}', /comes to nothing/],
    ['x'.repeat(700), /5 parts/],
  ] as const) t.match(check(text).problems[0]?.message, problem, text.slice(0, 40))
  t.match(check('{{ summary }}', 'lead_for_people').problems, [])
  t.match(checkTemplate(hvac, 'reminder_day_before', 'sms', { subject: 'Hi', text: 'x' }).problems, [{ field: 'subject' }])
})

t.test('what is risky is said before it is kept', async (t) => {
  const warnings = (who: typeof hvac, text: string) => checkTemplate(who, 'reminder_day_before', 'sms', { subject: '', text }).warnings
  t.match(warnings(dental, 'Your root canal is {{ when }}. STOP'), [/"root canal" speaks of somebody's health/])
  t.match(warnings(dental, '{{ service }} {{ when }}. STOP'), [/service.*health has no place/])
  t.same(warnings(hvac, '{{ service }} {{ when }}. STOP'), [])
  t.match(warnings(hvac, 'See you {{ when }}'), [/how to opt out/])
  t.match(warnings(hvac, 'See you {{ when }} 😀 STOP'), [/holds "😀".*70/])
  t.match(warnings(hvac, `${'word '.repeat(40)}STOP`), [/takes 2 parts/])
})

t.test('a caller\'s words make no link and no line of their own', async (t) => {
  t.equal(plainFact('Dana\nReyes'), 'Dana Reyes')
  t.equal(plainFact('win at https://evil.example/x?y'), 'win at evil example/x?y')
  t.equal(plainFact('evil\u200b.com'), 'evil com')
  t.equal(plainFact('Dr. J. R. Ewing, 3.5 tons'), 'Dr. J. R. Ewing, 3.5 tons')
  t.equal(plainFact('x'.repeat(500)).length, 120)
  t.equal(renderMessage(hvac, 'sms', { subject: '', text: 'For {{ customer_name }}' }, { customer_name: '{{ company.phone }}' }).text, 'For {{ company.phone }}', 'and no template')
})

t.test('every kind\'s facts are known by name', async (t) => {
  for (const [kind] of everyTemplate()) t.ok(Object.keys(FACTS[kind]).every((name) => /^[a-z_]+$/.test(name)), kind)
})
