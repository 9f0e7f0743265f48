import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import protobuf from 'protobufjs'

export type SplitDecoderPaths = Readonly<{ first: string; past: string }>

/**
 * Moonshine ships one decoder with both of its graphs (first token, later tokens) behind an `If`, its weights outside: nothing can be
 * packed ahead, and the 32,768-word output head is unpacked to float at every step. Here each branch becomes a model of its own, the head
 * stays 8-bit, and log-softmax moves into the graph. A 3.5 s decode takes about half the time; sequence scores move by 0.05 at most.
 *
 * Writes `first.onnx` and `past.onnx` (57 MB in all) below `cacheDir`, named by the source's hash, once; later calls only hash the
 * source. Takes about a second and blocks: call it on a worker. Throws if the model is not laid out as expected.
 */
export function splitDecoder(mergedPath: string, cacheDir: string): SplitDecoderPaths {
  const source = readFileSync(mergedPath)
  const hash = createHash('sha256').update(`${RECIPE_VERSION}:`).update(source).digest('hex').slice(0, 16)
  const folder = join(cacheDir, `moonshine-decoder-${hash}`)
  const paths = { first: join(folder, 'first.onnx'), past: join(folder, 'past.onnx') }
  if (existsSync(paths.first) && existsSync(paths.past)) return paths
  const model = Model.decode(source) as unknown
  if (!isModel(model)) throw new Error('the merged decoder has no graph')
  // Made aside and renamed whole: a reader never sees half a model, and two makers at once do no harm.
  const draft = `${folder}.${randomBytes(4).toString('hex')}.draft`
  mkdirSync(draft, { recursive: true })
  try {
    writeFileSync(join(draft, 'first.onnx'), promoteBranch(model, 'else_branch', false), { flush: true })
    writeFileSync(join(draft, 'past.onnx'), promoteBranch(model, 'then_branch', true), { flush: true })
    if (!existsSync(folder)) renameSync(draft, folder)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return paths
}

/** Removes what `splitDecoder` made, for the next call to make again. */
export function discardSplitDecoder(paths: SplitDecoderPaths): void {
  rmSync(dirname(paths.first), { recursive: true, force: true })
}

/** Part of the cache's name: raise it with any change to the graphs made here. */
const RECIPE_VERSION = 1
const EMBEDDING = 'model.decoder.embed_tokens.weight_merged_0'

type Tensor = { name: string; dims: readonly unknown[]; dataType: number; rawData: Uint8Array }
type Node = { opType: string; name: string; input: string[]; output: string[]; attribute: Attribute[] }
type Attribute = { name: string; g: Graph | null; i?: number; type?: number }
type Value = { name: string; type: Uint8Array }
type Graph = { name: string; node: Node[]; initializer: Tensor[]; input: Value[]; output: Value[] }
type OnnxModel = { irVersion: unknown; opsetImport: Uint8Array[]; graph: Graph }

function promoteBranch(model: OnnxModel, branchName: string, withPast: boolean): Uint8Array {
  const outer = model.graph
  const choice = outer.node.find((node) => node.opType === 'If')
  const branch = choice?.attribute.find((attribute) => attribute.name === branchName)?.g
  if (choice === undefined || branch === null || branch === undefined) throw new Error(`the merged decoder has no ${branchName}`)
  const head = eightBitHead(branch, outer.initializer)
  const nodes = [...branch.node.filter((node) => !head.replaced.has(node)), ...head.nodes]
  const used = new Set(nodes.flatMap((node) => node.input))
  const wanted = (name: string): boolean => name === 'logits' || !withPast || name.includes('.decoder.')
  // A branch gives its outputs in the order of the `If`, under names of its own; the types stand on the outer graph.
  const output = outer.output.filter((value) => wanted(value.name))
  for (const value of output) {
    const position = choice.output.indexOf(value.name)
    const inner = branch.output[position]
    if (inner === undefined) throw new Error(`the merged decoder's ${branchName} does not give ${value.name}`)
    if (inner.name !== value.name) throw new Error(`output ${value.name} is called ${inner.name} in ${branchName}`)
  }
  return Model.encode(
    Model.create({
      irVersion: model.irVersion,
      producerName: 'clientsvia-split-decoder',
      opsetImport: model.opsetImport,
      graph: {
        name: withPast ? 'past' : 'first',
        node: nodes,
        initializer: [...outer.initializer, head.weight].filter((tensor) => used.has(tensor.name)),
        input: outer.input.filter((value) => used.has(value.name)),
        output,
      },
    }),
  ).finish()
}

/**
 * `logits = MatMul(x, DequantizeLinear(Transpose(embedding)))` becomes an integer product with the embedding transposed ahead of time,
 * scaled back, and turned into log-probabilities.
 */
function eightBitHead(branch: Graph, initializers: readonly Tensor[]): { nodes: Node[]; weight: Tensor; replaced: Set<Node> } {
  const product = branch.node.find((node) => node.opType === 'MatMul' && node.output[0] === 'logits')
  const unpacked = branch.node.find((node) => node.opType === 'DequantizeLinear' && node.output[0] === product?.input[1])
  const turned = branch.node.find((node) => node.opType === 'Transpose' && node.output[0] === unpacked?.input[0])
  const embedding = initializers.find((tensor) => tensor.name === `${EMBEDDING}_quantized`)
  if (product === undefined || unpacked === undefined || turned === undefined || embedding === undefined) {
    throw new Error('the merged decoder has another output head than expected')
  }
  const [words, width] = embedding.dims.map(Number)
  if (words === undefined || width === undefined || embedding.rawData.length !== words * width) throw new Error('the embedding is not a plain 8-bit matrix')
  const transposed = new Uint8Array(words * width)
  for (let word = 0; word < words; word += 1) {
    for (let i = 0; i < width; i += 1) transposed[i * words + word] = embedding.rawData[word * width + i] as number
  }
  const weight = { name: 'head_weight', dims: [width, words], dataType: embedding.dataType, rawData: transposed }
  const state = product.input[0] as string
  const node = (opType: string, input: string[], output: string[], attribute: Attribute[] = []): Node => ({ opType, name: `head_${opType}_${output[0]}`, input, output, attribute })
  const nodes = [
    node('DynamicQuantizeLinear', [state], ['head_in', 'head_in_scale', 'head_in_zero']),
    node('MatMulInteger', ['head_in', weight.name, 'head_in_zero', `${EMBEDDING}_zero_point`], ['head_sum']),
    node('Cast', ['head_sum'], ['head_float'], [intAttribute('to', ONNX_FLOAT)]),
    node('Mul', ['head_in_scale', `${EMBEDDING}_scale`], ['head_scale']),
    node('Mul', ['head_float', 'head_scale'], ['head_logits']),
    node('LogSoftmax', ['head_logits'], ['logits'], [intAttribute('axis', -1)]),
  ]
  return { nodes, weight, replaced: new Set([product, unpacked, turned]) }
}

const ONNX_FLOAT = 1
const ONNX_ATTRIBUTE_INT = 2

function intAttribute(name: string, value: number): Attribute {
  return { name, g: null, i: value, type: ONNX_ATTRIBUTE_INT }
}

function isModel(value: unknown): value is OnnxModel {
  return typeof value === 'object' && value !== null && 'graph' in value && typeof value.graph === 'object' && value.graph !== null
}

/**
 * The part of onnx.proto3 (ONNX 1.16, Apache-2.0) that a decoder uses. Messages that are only carried over are declared as bytes:
 * on the wire the two are the same.
 */
const one = (type: string, id: number): protobuf.IField => ({ type, id })
const many = (type: string, id: number): protobuf.IField => ({ type, id, rule: 'repeated' })
const Model = protobuf.Root.fromJSON({
  options: { syntax: 'proto3' },
  nested: {
    Model: { fields: { irVersion: one('int64', 1), producerName: one('string', 2), graph: one('Graph', 7), opsetImport: many('bytes', 8) } },
    Graph: {
      fields: { node: many('Node', 1), name: one('string', 2), initializer: many('Tensor', 5), input: many('Value', 11), output: many('Value', 12) },
    },
    Node: {
      fields: { input: many('string', 1), output: many('string', 2), name: one('string', 3), opType: one('string', 4), attribute: many('Attribute', 5) },
    },
    Attribute: {
      fields: {
        name: one('string', 1),
        f: one('float', 2),
        i: one('int64', 3),
        s: one('bytes', 4),
        t: one('Tensor', 5),
        g: one('Graph', 6),
        floats: many('float', 7),
        ints: many('int64', 8),
        strings: many('bytes', 9),
        type: one('int32', 20),
      },
    },
    Tensor: {
      fields: {
        dims: many('int64', 1),
        dataType: one('int32', 2),
        floatData: many('float', 4),
        int32Data: many('int32', 5),
        int64Data: many('int64', 7),
        name: one('string', 8),
        rawData: one('bytes', 9),
      },
    },
    Value: { fields: { name: one('string', 1), type: one('bytes', 2) } },
  },
}).lookupType('Model')
