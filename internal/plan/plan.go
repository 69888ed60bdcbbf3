// Package plan says what must be reachable: which role opens which connection
// to which other role, how much a site depends on it, why, and who says so.
//
// A plan is data. A YAML file holds it, each row with its source; some such
// files are built in. A site file says which hosts play the roles, which ports
// differ there and which features are used. Load and LoadSite read and check
// these files, Apply joins them with what the command line says, and Select
// chooses the rows that two machines can test between them. Nothing here
// touches the network.
package plan

import (
	"encoding/json"
	"maps"
	"slices"
)

// Role is a part that a machine plays, such as "server". A plan names its own
// roles.
type Role string

// The roles that Dialtone itself knows something about.
const (
	RoleClient   Role = "client"
	RoleServer   Role = "server"
	RoleWeb      Role = "web"
	RoleDatabase Role = "database"
	RolePeer     Role = "peer"
)

// A Row is one kind of connection. Its initiator is always From; a service
// that works both ways has two rows.
type Row struct {
	ID      string `json:"id"`      // unique in its plan
	Service string `json:"service"` // slug that groups rows: "sql", "odyssey"
	Name    string `json:"name"`    // for people: "SQL Server (TDS)"
	// Port is the destination port to use, after site file, --port and shift.
	// 0 is an arbitrary high port that the accepting end names (FTP's active data).
	Port     int `json:"port"`
	PlanPort int `json:"plan_port"` // Port as the plan file has it
	// SourcePort is the port that the initiator must dial from; 0 is any.
	SourcePort     int `json:"source_port"`
	PlanSourcePort int `json:"plan_source_port"` // SourcePort as the plan file has it
	// PortAssumed is true while Port is only the usual one of a port that each
	// site chooses, and neither site file nor command line has set it.
	PortAssumed bool      `json:"port_assumed"`
	Transport   Transport `json:"transport"`
	Speaks      Protocol  `json:"speaks"` // "": there is no conversation of its own
	From        []Role    `json:"from"`   // any of these opens the connection; never empty
	To          Role      `json:"to"`
	Need        Need      `json:"need"`
	Expect      Expect    `json:"expect"`
	Host        string    `json:"host"` // name or address of an external To; "" if none is known
	// Path is what a row that speaks HTTP asks for, from "/" on; "" is "/".
	Path string `json:"path,omitempty"`
	// Status are the HTTP status codes with which the service is well; none: all
	// that do not say themselves that it is not.
	Status []int `json:"status,omitempty"`
	// IdleS is how many seconds a connection has to survive without traffic; 0: no
	// more than firewalls give anyhow, as far as is known.
	IdleS int64 `json:"idle_s,omitempty"`
	// Apart rows cross the network only where the site's file names another host
	// for To than for From: then they are required, whatever else the file says.
	Apart bool `json:"apart,omitempty"`
	// Inferred is true where Source does not say so in its own words.
	Inferred bool   `json:"inferred,omitempty"`
	Why      string `json:"why"`    // one sentence for people
	Source   string `json:"source"` // who says so
}

// MarshalJSON adds "high": true when the port is one that the accepting end
// names, so that a reader need not know what port 0 means.
func (r Row) MarshalJSON() ([]byte, error) {
	type fields Row
	return json.Marshal(struct {
		fields
		High bool `json:"high"`
	}{fields(r), r.Port == 0})
}

// A Plan is everything that must be reachable for one product.
//
// Its JSON form has the keys name, title, revised, roles (an object: role to
// description), external (array of roles), sources (array of pages) and rows
// (array, in plan order; the keys of a row are those of Row, and "high").
type Plan struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Revised string `json:"revised"` // date, as the file writes it; "" if it has none
	// Roles says what each role is.
	Roles map[Role]string `json:"roles"`
	// External lists the roles that other people's hosts play: those hosts run
	// real software, never our listener.
	External []Role `json:"external"`
	// Sources are the pages that rows name in their Source, in the file's order.
	Sources []Page `json:"sources"`
	Rows    []Row  `json:"rows"`

	order []Role     // Roles as the file orders them
	left  []Excluded // rows that Apply left out
}

// A Page is where a plan's facts come from.
type Page struct {
	Name string `json:"name"` // as rows write it
	At   string `json:"at"`   // its address
}

// RoleNames returns the plan's roles in the order of its file.
func (p *Plan) RoleNames() []Role {
	if len(p.order) == len(p.Roles) {
		return slices.Clone(p.order)
	}
	return slices.Sorted(maps.Keys(p.Roles))
}

// IsExternal reports whether other people's hosts play role r.
func (p *Plan) IsExternal(r Role) bool { return slices.Contains(p.External, r) }

// An Excluded row is one that is not tested, and why, for people.
type Excluded struct {
	Row Row    `json:"row"`
	Why string `json:"why"`
	// TestedBy is the run that does test it; "": none, or it was left out on
	// purpose.
	TestedBy TestedBy `json:"tested_by,omitempty"`
	Hosts    []string `json:"hosts,omitempty"` // to be dialed by ByHost
}

// TestedBy is what another run has to be so that it tests a row that this one
// left out.
type TestedBy string

const (
	ByRole    TestedBy = "role"    // dial on a machine that plays one of the row's From roles
	ByHost    TestedBy = "host"    // dial on this very machine, of one of the row's hosts
	ByPartner TestedBy = "partner" // dial odyssey with each partner
	ByEgress  TestedBy = "egress"  // dial egress on a machine that plays one of the row's From roles
	ByNobody  TestedBy = "nobody"  // who opens it are other people's hosts, on which nobody can run dial
)
