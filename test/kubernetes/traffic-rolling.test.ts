import { rolling } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic(rolling);
