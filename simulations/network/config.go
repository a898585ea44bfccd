// Package network is the links of a simulated mesh: how long a message of so
// many bytes takes from one node to another, and whether it arrives. Streams
// are what QUIC makes of such links: ordered and reliable while they stand, so
// that loss and reordering turn into delay; packets (gossip, lookups) bear them
// as they are. It is pure: the time and the chance are arguments. Start
// reading at Config, then at Network.
package network

import "time"

// Config is the shape of a network. Nodes are numbers from 0.
type Config struct {
	Sites []Site
	// Routes join two different sites, at most one a pair, in any order; sites
	// without one have no way to each other.
	Routes []Route
	// Site is the place in Sites of each node.
	Site []int
}

// Site is machines on one LAN.
type Site struct {
	Name  string
	Local Path
}

// Route is what lies between two sites. Its bandwidth is shared by all.
type Route struct {
	A, B int
	Path
}

// Path is how bytes travel.
type Path struct {
	// Latency is one way, and at least that long; Jitter is how much longer it
	// may take, evenly.
	Latency, Jitter time.Duration
	// Bandwidth is in bytes a second: of each node's link in a site, of the
	// whole of a route.
	Bandwidth float64
	// Loss, Duplication and Reordering are chances of a packet, in [0, 1).
	Loss, Duplication, Reordering float64
}
