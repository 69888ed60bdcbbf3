package report

// Unpacked is unpacked, for the tests that see this package from outside.
var Unpacked = unpacked
