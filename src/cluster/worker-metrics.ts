import { AggregatorRegistry, type Registry } from 'prom-client'

/** Lets the primary process ask this worker for its metrics, to add them up. */
export function shareMetrics(registry: Registry): void {
  AggregatorRegistry.setRegistries(registry)
  // Made for its side effect: in a worker it answers the primary's requests.
  void new AggregatorRegistry()
}
