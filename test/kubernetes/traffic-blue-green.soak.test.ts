import { blueGreen } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic({ strategy: blueGreen.strategy, ...blueGreen.all }, 100);
