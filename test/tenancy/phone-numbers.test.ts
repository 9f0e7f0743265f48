import t from 'tap'
import { isWithheldNumber, maskPhoneNumber, normalizePhoneNumber, speakPhoneNumber } from '../../src/tenancy/phone-numbers.ts'

t.test('a number is the same number however it is written', async (t) => {
  for (const written of ['+15550100000', '(555) 010-0000', '1-555-010-0000', '555.010.0000', ' 5550100000 ']) {
    t.equal(normalizePhoneNumber(written), '+15550100000', written)
  }
  t.equal(normalizePhoneNumber('020 7946 0018', 'GB'), '+442079460018')
  for (const wrong of ['', 'anonymous', '12', 'call 5550100000 now', '+1555', 'sip:robin@example.com']) t.equal(normalizePhoneNumber(wrong), null, wrong)
})

t.test('a withheld number is nobody\'s number', async (t) => {
  for (const from of ['+266696687', '+17378742833', '+2562533', 'Anonymous', '']) {
    t.ok(isWithheldNumber(from), from)
    t.equal(normalizePhoneNumber(from), null)
  }
  t.notOk(isWithheldNumber('+15550100000'))
})

t.test('a number is said digit by digit, in groups', async (t) => {
  t.equal(speakPhoneNumber('+15550100042'), 'five five five, zero one zero, zero zero four two')
  t.equal(speakPhoneNumber('+442079460018'), 'plus four four, two zero, seven nine four six, zero zero one eight')
})

t.test('a masked number calls nobody', async (t) => {
  t.equal(maskPhoneNumber('+15550100042'), '+1********42')
  t.equal(maskPhoneNumber('911'), '***')
})
