import { listOf, object, oneOf, text, type Schema } from './schema.ts';

/** Istio's clients write it as a number or, as protobuf's JSON has it, as text. */
const GENERATION: Schema = {
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  'x-kubernetes-int-or-string': true,
};

/**
 * Istio's status, with one thing more: conditions are kept by their type, so that several controllers can each have
 * their own in one list. In Istio's own CRD whoever writes the list owns the whole of it.
 */
export const STATUS: Schema = object(
  {
    conditions: listOf(
      object(
        {
          type: text(),
          status: text(),
          reason: text(),
          message: text(),
          lastProbeTime: { type: 'string', format: 'date-time' },
          lastTransitionTime: { type: 'string', format: 'date-time' },
          observedGeneration: GENERATION,
        },
        { required: ['type'] },
      ),
      { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] },
    ),
    validationMessages: listOf(
      object({
        type: object({ name: text(), code: text() }),
        level: oneOf(['UNKNOWN', 'ERROR', 'WARNING', 'INFO']),
        documentationUrl: text(),
      }),
    ),
    observedGeneration: GENERATION,
  },
  { description: 'What controllers say of it.', 'x-kubernetes-preserve-unknown-fields': true },
);
