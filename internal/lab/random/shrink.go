package main

import "slices"

// shrink returns the smallest trial that is still wrong in a way in which the
// whole one was, nil if not even that is wrong again. again plays a trial.
func shrink(c trial, wrongs []wrong, again func(trial) []wrong) *trial {
	alike := func(smaller trial) bool {
		return slices.ContainsFunc(again(smaller), func(w wrong) bool {
			return slices.ContainsFunc(wrongs, func(o wrong) bool { return o.Class == w.Class })
		})
	}
	if !alike(c) {
		return nil
	}
	for i := 0; i < len(c.Faults) && len(c.Faults) > 1; {
		smaller := c
		smaller.Faults = slices.Delete(slices.Clone(c.Faults), i, i+1)
		if alike(smaller) {
			c = smaller
			continue
		}
		i++
	}
	return &c
}
