import t from 'tap'
import { openForm } from '../../src/forms/form-questions.ts'
import { prepareToRead } from '../../src/grammar/read-text.ts'
import { loadCompanyFile } from '../../src/response/company-file.ts'
import { withServices } from '../../src/response/form-context.ts'
import { prepareReadings } from '../../src/response/form-readings.ts'

t.test("each question of a company's forms is ready before its first caller answers it, one at a time", async (t) => {
  const { company } = loadCompanyFile('media/companies/polar-bay-air.json')
  const form = withServices(company.forms[0] as (typeof company.forms)[0], company)
  const questions = [null, ...form.slots.map((slot) => slot.id)]
  let breaths = 0
  await prepareReadings({ ...company, forms: company.forms.slice(0, 1) }, async () => {
    breaths += 1
  })
  t.equal(breaths, questions.length)
  for (const asked of questions) t.equal(prepareToRead(openForm({ form }, asked)), false, String(asked))
  t.equal(prepareToRead({ kind: 'open' }), false, 'what may be anything needs no grammar')
  t.equal(prepareToRead(openForm({ form: { ...form, id: 'another' } }, null)), true, 'and what was not asked for is made when it is')
})

t.test('a form that is switched off is not prepared, and a company with very many questions leaves room for others', async (t) => {
  const { company } = loadCompanyFile('media/companies/polar-bay-air.json')
  let breaths = 0
  const quiet = async (): Promise<void> => {
    breaths += 1
  }
  await prepareReadings({ ...company, forms: company.forms.map((form) => ({ ...form, enabled: false })) }, quiet)
  t.equal(breaths, 0)
  const first = company.forms[0] as (typeof company.forms)[0]
  await prepareReadings({ ...company, forms: Array.from({ length: 30 }, () => first) }, quiet)
  t.equal(breaths, 40)
})
