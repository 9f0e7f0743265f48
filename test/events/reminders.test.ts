import t from 'tap'
import { textableAt, textableInAll } from '../../src/events/texting-hours.ts'
import { zonesOfNumber } from '../../src/events/callee-zones.ts'
import { openDelivery, visit } from './delivery-world.ts'
import { CALLER } from './fixtures.ts'

t.test('a booked visit is confirmed at once and remembered a day and an hour before it', async (t) => {
  const { until, happen, sms, repositories, problems } = await openDelivery(t, '2026-03-02T15:00:00Z')
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-06T00:00:00Z')
  t.match(sms.sent, [
    { to: CALLER, at: /^2026-03-02T15:00:0/, text: 'Polar Bay Air: you are booked for Thu, Mar 5, 10:00 AM. Reply C to confirm, R to reschedule. Reply STOP to opt out.' },
    { at: /^2026-03-04T15:00:0/, text: /reminder of your visit on Thu, Mar 5, 10:00 AM/ },
    { at: /^2026-03-05T14:00:0/, text: /see you at 10:00 AM today\. Questions\? Call \+1 239 555 0100/ },
  ])
  t.equal(sms.sent.length, 3)
  t.same((await repositories.eventLog.list('a', { after: null, limit: 10, types: ['appointment.reminded'] })).length, 2)
  t.same(problems, [])
})

t.test('reminders are kept by the store, not by the process', async (t) => {
  const { until, happen, sms, restart } = await openDelivery(t, '2026-03-02T15:00:00Z')
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-03T00:00:00Z')
  await restart()
  await until('2026-03-04T15:00:05Z')
  await restart()
  await until('2026-03-06T00:00:00Z')
  t.equal(sms.sent.length, 3, 'each of them once')
})

t.test('a visit that moves takes its reminders along, there and back again', async (t) => {
  const { until, happen, sms, messages } = await openDelivery(t, '2026-03-02T15:00:00Z')
  const [first, second] = [visit('2026-03-05T15:00:00Z'), visit('2026-03-07T19:00:00Z')]
  await happen('appointment.booked', first)
  await until('2026-03-02T16:00:00Z')
  await happen('appointment.rescheduled', second, first)
  await until('2026-03-02T17:00:00Z')
  t.match(sms.sent.at(-1), { text: /your visit has moved from Thu, Mar 5, 10:00 AM to Sat, Mar 7, 2:00 PM/ })
  t.same((await messages()).filter((one) => one.state === 'waiting').map((one) => one.dueAt), ['2026-03-07T18:00:00.000Z', '2026-03-06T19:00:00.000Z'])
  await happen('appointment.rescheduled', first, second)
  await until('2026-03-08T00:00:00Z')
  t.same(sms.sent.map((one) => one.at.slice(0, 16)), ['2026-03-02T15:00', '2026-03-02T16:00', '2026-03-02T17:00', '2026-03-04T15:00', '2026-03-05T14:00'])
})

t.test('a visit that another crew takes over, at the same time, is no news for the customer', async (t) => {
  const { until, happen, sms, messages } = await openDelivery(t, '2026-03-02T15:00:00Z')
  const first = visit('2026-03-05T15:00:00Z')
  await happen('appointment.booked', first)
  await until('2026-03-02T16:00:00Z')
  await happen('appointment.rescheduled', { ...first, resourceId: 'other-crew' }, first)
  await until('2026-03-02T17:00:00Z')
  t.equal(sms.sent.length, 1)
  t.same((await messages()).map((one) => one.state), ['waiting', 'waiting', 'done'], 'and its reminders stand')
})

t.test('a cancelled visit is not remembered, even if the news of it is late', async (t) => {
  const { until, happen, sms, visits, messages } = await openDelivery(t, '2026-03-02T15:00:00Z')
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-02T16:00:00Z')
  await happen('appointment.cancelled', visit('2026-03-05T15:00:00Z', { status: 'cancelled' }))
  await until('2026-03-06T00:00:00Z')
  t.match(sms.sent.map((one) => one.text), [/booked/, /cancelled/])
  t.equal(sms.sent.length, 2)

  const other = visit('2026-03-09T15:00:00Z', { id: 'A2' })
  await happen('appointment.booked', other)
  await until('2026-03-06T01:00:00Z')
  visits.set('A2', { ...other, status: 'cancelled' })
  await until('2026-03-10T00:00:00Z')
  t.equal(sms.sent.length, 3)
  t.match((await messages()).filter((one) => one.subject === 'appointment/A2').map((one) => [one.state, one.reason]), [['dropped', /moved or is cancelled/], ['dropped', /moved or is cancelled/], ['done', '']])
})

t.test('nobody is texted at night: it waits for eight in the morning, on the night when clocks change too', async (t) => {
  const spring = await openDelivery(t, '2026-03-08T03:30:00Z')
  await spring.happen('appointment.booked', visit('2026-03-10T15:00:00Z'))
  await spring.until('2026-03-08T11:59:59Z')
  t.equal(spring.sms.sent.length, 0, 'half past ten at night on March 7')
  await spring.until('2026-03-08T12:00:05Z')
  t.match(spring.sms.sent, [{ at: /^2026-03-08T12:00:0/ }], 'eight o\'clock is an hour sooner that morning')

  const autumn = await openDelivery(t, '2026-11-01T03:30:00Z')
  await autumn.happen('appointment.booked', visit('2026-11-03T15:00:00Z'))
  await autumn.until('2026-11-01T12:59:59Z')
  t.equal(autumn.sms.sent.length, 0)
  await autumn.until('2026-11-01T13:00:05Z')
  t.equal(autumn.sms.sent.length, 1)
})

t.test('a reminder that the night has made useless is not sent; one that is still of use is', async (t) => {
  const early = await openDelivery(t, '2026-03-02T15:00:00Z')
  await early.happen('appointment.booked', visit('2026-03-04T13:05:00Z'))
  await early.until('2026-03-05T00:00:00Z')
  t.match(early.sms.sent.map((one) => one.at), [/^2026-03-02T15/, /^2026-03-03T13:05/], 'five past seven is too early, and at eight it is nearly there')
  const later = await openDelivery(t, '2026-03-02T15:00:00Z')
  await later.happen('appointment.booked', visit('2026-03-04T13:30:00Z'))
  await later.until('2026-03-05T00:00:00Z')
  t.match(later.sms.sent.map((one) => one.at), [/^2026-03-02T15/, /^2026-03-03T13:30/, /^2026-03-04T13:00/])
})

t.test('a visit booked at short notice has no reminders that tell nobody anything', async (t) => {
  const { until, happen, sms } = await openDelivery(t, '2026-03-02T15:00:00Z')
  await happen('appointment.booked', visit('2026-03-02T16:20:00Z'))
  await happen('appointment.booked', visit('2026-03-02T14:00:00Z', { id: 'A2' }))
  await until('2026-03-03T15:00:00Z')
  t.equal(sms.sent.length, 1, 'the confirmation alone, and nothing of a visit that is over')
})

t.test('a company that wants none of it sends none of it', async (t) => {
  const { until, happen, sms } = await openDelivery(t, '2026-03-02T15:00:00Z', {
    notifications: { customers: { confirmation: false, reminderDayBefore: false, reminderHourBefore: true }, textingHours: { from: '09:30', to: '20:00' } },
  })
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-06T00:00:00Z')
  t.match(sms.sent, [{ at: /^2026-03-05T14:30:0/ }], 'and its own hours count')
})

t.test('it is the customer\'s night that counts, by where their number is at home, and the company\'s in the hour before the visit', async (t) => {
  const los = { customer: { name: 'Dana Reyes', phoneNumberE164: '+12135550143', address: null } }
  const booked = async (changes: object, settings: object = {}): Promise<string[]> => {
    const world = await openDelivery(t, '2026-03-02T13:30:00Z', { notifications: settings })
    await world.happen('appointment.booked', visit('2026-03-04T14:00:00Z', changes))
    await world.until('2026-03-05T00:00:00Z')
    return world.sms.sent.map((one) => one.at.slice(0, 16))
  }
  // Half past eight in New York, half past five in Los Angeles.
  t.same(await booked({}), ['2026-03-02T13:30', '2026-03-03T14:00', '2026-03-04T13:00'])
  t.same(await booked(los), ['2026-03-02T16:00', '2026-03-03T16:00', '2026-03-04T13:00'], 'eight in Los Angeles; an hour before they are where the company is')
  t.same(await booked(los, { textingZone: 'company' }), ['2026-03-02T13:30', '2026-03-03T14:00', '2026-03-04T13:00'])
  t.same(await booked({ customer: { name: 'Dana', phoneNumberE164: '+18005550143', address: null } }), ['2026-03-02T13:30', '2026-03-03T14:00', '2026-03-04T13:00'], 'a toll-free number is at home nowhere')
})

t.test('a number says where it is at home, or nothing', async (t) => {
  for (const [number, zones] of [
    ['+12395550143', ['America/New_York']],
    ['+12135550143', ['America/Los_Angeles']],
    ['+18085550143', ['Pacific/Honolulu']],
    ['+442071234567', ['Europe/London']],
    ['+61255500143', ['Australia/Sydney']],
    ['+18005550143', []],
    ['+15550109999', []],
  ] as const) {
    t.same(await zonesOfNumber(number), zones, number)
    t.same(await zonesOfNumber(number), zones, 'and again')
  }
})

t.test('where several zones are possible it must be day in all of them, if it ever is', async (t) => {
  const hours = { from: '08:00', to: '21:00' }
  const at = (moment: string, ...zones: string[]): string | undefined => textableInAll(new Date(moment), zones, hours)?.toISOString()
  t.equal(at('2026-03-02T14:00:00Z', 'America/New_York', 'America/Los_Angeles'), '2026-03-02T16:00:00.000Z', 'eight in the later one')
  t.equal(at('2026-03-03T01:30:00Z', 'America/New_York', 'America/Chicago'), '2026-03-03T01:30:00.000Z')
  t.equal(at('2026-03-03T02:30:00Z', 'America/New_York', 'America/Chicago'), '2026-03-03T14:00:00.000Z', 'half past nine in the earlier one: the next morning of both')
  t.equal(textableInAll(new Date('2026-03-02T14:00:00Z'), ['Europe/London', 'Pacific/Auckland'], { from: '12:00', to: '13:00' }), null, 'noon is never at both ends of the world')
})

t.test('the first moment when somebody may be texted', async (t) => {
  const hours = { from: '08:00', to: '21:00' }
  const cases: [string, string, string, string][] = [
    ['2026-03-02T13:00:00.000Z', 'America/New_York', '2026-03-02T13:00:00.000Z', 'eight is not night'],
    ['2026-03-02T12:59:59.000Z', 'America/New_York', '2026-03-02T13:00:00.000Z', 'a second before is'],
    ['2026-03-03T01:59:59.000Z', 'America/New_York', '2026-03-03T01:59:59.000Z', 'a second before nine is not'],
    ['2026-03-03T02:00:00.000Z', 'America/New_York', '2026-03-03T13:00:00.000Z', 'nine is'],
    ['2026-03-02T13:00:00.000Z', 'America/Los_Angeles', '2026-03-02T16:00:00.000Z', 'elsewhere it is five'],
    ['2026-03-08T04:30:00.000Z', 'America/New_York', '2026-03-08T12:00:00.000Z', 'clocks go forward'],
    ['2026-11-01T04:30:00.000Z', 'America/New_York', '2026-11-01T13:00:00.000Z', 'clocks go back'],
    ['2026-03-02T13:00:00.000Z', 'Pacific/Kiritimati', '2026-03-02T18:00:00.000Z', 'where it is tomorrow already'],
  ]
  for (const [at, zone, expected, why] of cases) t.equal(textableAt(new Date(at), zone, hours).toISOString(), expected, why)
  t.equal(textableAt(new Date('2026-03-08T05:00:00Z'), 'America/New_York', { from: '02:30', to: '03:00' }).toISOString(), '2026-03-08T07:30:00.000Z', 'half past two does not happen that night')
})
