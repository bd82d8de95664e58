import type { TruthInstance } from '../support/graph/instances.ts';
import type { OriginMap } from '../support/graph/origins.ts';

export type CloudsAsk =
  | { readonly kind: 'step' }
  | { readonly kind: 'truth'; readonly window: { readonly from: string; readonly to: string } };

export interface CloudsRequest {
  readonly id: number;
  readonly ask: CloudsAsk;
}

export interface DemoTenant {
  readonly cloud: string;
  readonly directory: string;
  readonly client: string;
  readonly secret: string;
}

export interface CloudsAnswer {
  readonly id: number;
  readonly answer:
    | { readonly kind: 'ready'; readonly originMap: OriginMap; readonly tenants: readonly DemoTenant[] }
    | { readonly kind: 'step'; readonly sentence: string }
    | { readonly kind: 'truth'; readonly calendars: readonly (readonly TruthInstance[])[] };
}
