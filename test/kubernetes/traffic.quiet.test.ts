import { strategies } from './strategies.js';
import { upgradesUnderTraffic } from './under-traffic.js';

upgradesUnderTraffic(strategies);
