package dialect

import (
	"fmt"
	"net/netip"
	"strings"
)

// windows writes cmdlets of the module NetSecurity (Microsoft Learn, NetSecurity:
// New-NetFirewallRule, Remove-NetFirewallRule). A rule there is always one machine's
// own; it keeps state.
func windows(r Rule) (add, remove []string) {
	if r.isForAll() && !r.isV4() {
		return nil, nil // a rule without addresses is for both families
	}
	inbound := r.At != Outbound
	local, remote := r.inside(), r.From
	localPort, remotePort := r.ports("-"), ""
	if r.SourcePort != 0 {
		remotePort = fmt.Sprint(r.SourcePort)
	}
	if !inbound {
		local, remote, localPort, remotePort = r.From, r.To, remotePort, localPort
	}
	name := "'" + r.Name() + "'"
	s := fmt.Sprintf("New-NetFirewallRule -Name %s -DisplayName %s -Profile Any -Direction %s -Action %s -Protocol %s",
		name, name, either(inbound, "Inbound", "Outbound"), either(r.Block, "Block", "Allow"), strings.ToUpper(string(r.Transport)))
	addresses := func(flag string, list []netip.Prefix) {
		if isAny(list) { // of both families: the other one's rule is the same but for the other end
			return
		}
		s += fmt.Sprintf(" %s %s", flag, strings.Join(quoted(hosts(list)), ","))
	}
	addresses("-LocalAddress", local)
	if localPort != "" {
		s += " -LocalPort " + localPort
	}
	addresses("-RemoteAddress", remote)
	if remotePort != "" {
		s += " -RemotePort " + remotePort
	}
	return []string{s}, []string{"Remove-NetFirewallRule -Name " + name}
}
