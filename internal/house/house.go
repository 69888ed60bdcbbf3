// Package house holds no code that runs: its tests keep the rest of the module
// in order. Which package may import which, and that each says what it is for.
package house
