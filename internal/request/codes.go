package request

import "dialtone/internal/result"

// A row is what a finding's code means for a firewall's people.
type row struct {
	change Change
	onHost bool
	look   []Sighting // what a log shows of it, the likeliest first
}

// rows has the codes that lead to a request. Every other code of result.Codes is for
// the people at the two ends, or says too little: that nothing listens explains it as
// well as a firewall does (refused, rejected-or-nothing-listens), or the service
// itself, of which nobody tells (answered, accepted-silently, reset-midway,
// stalled-midway, no-greeting, not-the-service).
var rows = map[result.Code]row{
	result.CodeRejected:          {change: Allow, look: []Sighting{SawDenied}},
	result.CodeRejectedByHost:    {change: Allow, onHost: true, look: []Sighting{SawDenied}},
	result.CodeRefusedByHost:     {change: Allow, onHost: true, look: []Sighting{SawReset, SawDenied}},
	result.CodeRefusedOnTheWay:   {change: Allow, look: []Sighting{SawReset, SawDenied}},
	result.CodeNATNoForward:      {change: Forward, look: []Sighting{SawReset, SawDenied}},
	result.CodeNATLeadsElsewhere: {change: Forward, look: []Sighting{SawReset}},
	result.CodeNATLeadsNowhere:   {change: Forward, look: []Sighting{SawUnanswered}},
	result.CodeRoutingLoop:       {change: Route},

	result.CodeFiltered:       {change: Allow, look: []Sighting{SawDenied}},
	result.CodeFilteredByHost: {change: Allow, onHost: true, look: []Sighting{SawDenied}},
	result.CodeReplyLost:      {change: Replies, look: []Sighting{SawUnanswered, SawDenied}},
	result.CodeSilent:         {change: Allow, look: []Sighting{SawDenied, SawUnanswered}},
	result.CodeShouldBeClosed: {change: Block},

	result.CodeReset:              {change: Exempt, look: []Sighting{SawReset, SawThreat}},
	result.CodeResetListener:      {change: Exempt, look: []Sighting{SawReset, SawThreat, SawUnrecognised}},
	result.CodeResetHalfOpen:      {change: Exempt, look: []Sighting{SawReset, SawThreat, SawNoData}},
	result.CodeResetSomeoneElse:   {change: Exempt, look: []Sighting{SawReset, SawThreat, SawNoData}},
	result.CodeResetUnknown:       {change: Exempt, look: []Sighting{SawReset, SawThreat, SawUnrecognised}},
	result.CodeResetPayload:       {change: Exempt, look: []Sighting{SawThreat, SawReset, SawUnrecognised}},
	result.CodeStalled:            {change: Exempt, look: []Sighting{SawNoData, SawUnrecognised}},
	result.CodeStalledListener:    {change: Exempt, look: []Sighting{SawNoData, SawUnrecognised}},
	result.CodeStalledHalfOpen:    {change: Exempt, look: []Sighting{SawNoData, SawUnanswered}},
	result.CodeStalledSomeoneElse: {change: Exempt, look: []Sighting{SawNoData, SawUnrecognised}},
	result.CodeStalledUnknown:     {change: Exempt, look: []Sighting{SawNoData, SawUnrecognised}},
	result.CodeStalledPayload:     {change: Exempt, look: []Sighting{SawUnrecognised, SawThreat}},
	result.CodeAnswersForAll:      {change: Exempt, look: []Sighting{SawNoData}},
	result.CodeWindowScale:        {change: Exempt},
	result.CodeCorrupted:          {change: Exempt, look: []Sighting{SawUnrecognised, SawThreat}},
	result.CodeMTUHole:            {change: Large},
	result.CodeIdleDropped:        {change: Idle, look: []Sighting{SawIdle}},
	result.CodeSessionAge:         {change: Idle, look: []Sighting{SawIdle}},

	result.CodeUnsteady:       {change: Every, look: []Sighting{SawDenied, SawUnanswered}},
	result.CodeUnsteadyPorts:  {change: Every, look: []Sighting{SawUnanswered}},
	result.CodeUnsteadyAtOnce: {change: Every, look: []Sighting{SawDenied, SawThreat}},
	result.CodeUnsteadyInTurn: {change: Every, look: []Sighting{SawUnanswered, SawReset}},
	result.CodeUnsteadyNumber: {change: Every, look: []Sighting{SawDenied, SawThreat}},
	result.CodeUnsteadyFirst:  {change: Every, look: []Sighting{SawReset, SawThreat}},
	result.CodeUnsteadyBanned: {change: Every, look: []Sighting{SawThreat, SawDenied}},
	result.CodeCutOffLater:    {change: Every, look: []Sighting{SawThreat, SawReset}},

	result.CodeRedirectedPort:      {change: Forward},
	result.CodeRedirectedHost:      {change: Forward},
	result.CodeRedirectedInTurn:    {change: Forward},
	result.CodeIntercepted:         {change: Exempt, look: []Sighting{SawUnrecognised, SawNoData}},
	result.CodeProxyHeader:         {change: Exempt, look: []Sighting{SawUnrecognised}},
	result.CodeTLSIntercepted:      {change: Exempt, look: []Sighting{SawUnrecognised}},
	result.CodeApplicationFirewall: {change: Exempt, look: []Sighting{SawUnrecognised, SawThreat}},
	result.CodePortal:              {change: Exempt},
	result.CodeProxyLogin:          {change: Exempt},
}
