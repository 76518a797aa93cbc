import { canary } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic({ strategy: canary.strategy, ...canary.all }, 100);
