package sock

import "math"

// MaxDescriptors is how many handles this process may have: more than memory
// lasts for.
func MaxDescriptors() int { return math.MaxInt32 }
