import { canary } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic(canary);
