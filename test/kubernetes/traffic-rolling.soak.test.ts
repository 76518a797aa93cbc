import { rolling } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic({ strategy: rolling.strategy, ...rolling.all }, 100);
