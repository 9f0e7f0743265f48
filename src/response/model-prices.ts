import type { PriceList, TokenPrice } from './model-meter.ts'

/** US cents a million tokens, as OpenAI lists them; a server's own list comes first, and other models have no price until it names one. */
export const LISTED_PRICES: PriceList = {
  'gpt-4.1': { input: 200, cachedInput: 50, output: 800 },
  'gpt-4.1-mini': { input: 40, cachedInput: 10, output: 160 },
  'gpt-4.1-nano': { input: 10, cachedInput: 2.5, output: 40 },
  'gpt-4o': { input: 250, cachedInput: 125, output: 1000 },
  'gpt-4o-mini': { input: 15, cachedInput: 7.5, output: 60 },
}

/** "gpt-4.1-mini=40/10/160, llama3=0/0/0": input, cached input and output, in cents a million tokens. */
export const PRICE_LIST_PATTERN = /^\s*[\w./:-]+=\d+(\.\d+)?\/\d+(\.\d+)?\/\d+(\.\d+)?\s*(,\s*[\w./:-]+=\d+(\.\d+)?\/\d+(\.\d+)?\/\d+(\.\d+)?\s*)*$/

/** Of a text that fits `PRICE_LIST_PATTERN`. */
export function readPrices(text: string): PriceList {
  const prices: Record<string, TokenPrice> = {}
  for (const item of text.split(',')) {
    const [model = '', figures = ''] = item.trim().split('=')
    const [input = 0, cachedInput = 0, output = 0] = figures.split('/').map(Number)
    prices[model] = { input, cachedInput, output }
  }
  return prices
}
