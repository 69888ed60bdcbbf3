package result

// An Instance is one of a machine's SQL Server instances, as its SQL Browser
// tells of it. Nothing about that is keyed: anybody on the way can write it.
type Instance struct {
	Name    string `json:"name"`
	Port    int    `json:"port"` // TCP; 0: none was told
	Version string `json:"version,omitempty"`
}

// An InstancePort is a port on which SQL Browser says that an instance listens,
// and what became of it where that is not the path's own.
type InstancePort struct {
	Instance string  `json:"instance"`
	Port     int     `json:"port"`
	Verdict  Verdict `json:"verdict"` // untested: it is the path's own, or nobody tried it
	OK       bool    `json:"ok"`
	At       Time    `json:"at"`
	// Source and Target are as of a Path.
	Source    Endpoint   `json:"source"`
	Target    Endpoint   `json:"target"`
	Initiator *Initiator `json:"initiator"` // null: nobody tried it
}
