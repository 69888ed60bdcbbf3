package sock

// A Privilege is what decides whether this program may bind a port of a low
// number.
type Privilege struct {
	IsRoot bool // or, on Windows, elevated
	// LacksCapability says that it is known to run without CAP_NET_BIND_SERVICE.
	LacksCapability bool
	// InUserNamespace says that it is root, or what else it is, in a user namespace
	// alone: what belongs to another is not its own.
	InUserNamespace bool
	// From is the first port that needs no privilege; 0: no port needs one, or the
	// system does not tell.
	From int
}
