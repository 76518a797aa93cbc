import common = require('@temporalio/common');

/**
 * Puts messages and stack traces of failures into a payload, where they are encrypted with the rest; for reading them the
 * SDK's own converter is enough. Workers load it by `require`, as the SDK does; the workflows' bundle has it too.
 */
export = { failureConverter: new common.DefaultFailureConverter({ encodeCommonAttributes: true }) };
