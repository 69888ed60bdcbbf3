// Package e2e holds no code that runs: its tests build both programs and use
// them as people do, by the scripts in testdata/script. They need neither root
// nor any network but the loopback interface.
package e2e
