package scenario

// The types below are what a file may say, with the tags of package strict,
// which reads files into them and publishes them as a schema.

// Version is the version of the format that Load reads.
const Version = 1

// Limits of what a scenario may ask for.
const (
	maxSourceBytes = 1 << 20
	// maxNodes is twice the largest mesh that a run is promised for.
	maxNodes      = 20_000
	maxBuilds     = 5_000
	maxTotalSteps = 1_000_000
	// maxChurn bounds the deaths that churn makes.
	maxChurn = 200_000
)

type file struct {
	Version     int        `yaml:"version" need:"" min:"1" max:"1" doc:"The version of this format: 1."`
	Name        string     `yaml:"name" doc:"What the scenario is called; without it the name of the file."`
	Description string     `yaml:"description" doc:"One sentence for a listing."`
	Draw        string     `yaml:"draw" enum:"all" doc:"all: the seed decides on everything, and the file says nothing else."`
	Cells       int        `yaml:"cell" min:"2" max:"20000" doc:"Nodes are parted into gossip groups of at most so many: a larger site evenly into several, neighbouring smaller ones into one as long as they fit. Without it all nodes are one group."`
	Sites       []site     `yaml:"sites" min:"1" max:"100" doc:"Where the machines are."`
	Links       []link     `yaml:"links" max:"1000" doc:"What lies between sites. Sites without a link cannot reach each other."`
	Flaky       float64    `yaml:"flaky" min:"0" max:"0.5" doc:"The chance that resolving a step, getting its inputs or keeping its outputs fails, until the faults are over."`
	Churn       *churn     `yaml:"churn" doc:"Nodes that die and come back."`
	Faults      []oneFault `yaml:"faults" max:"1000" doc:"What goes wrong, and when."`
	Builds      []build    `yaml:"builds" min:"1" max:"100" doc:"What is asked for."`
	Limits      limits     `yaml:"limits" doc:"When the faults are over, and how long a run may take."`
}

type site struct {
	Name     string    `yaml:"name" need:"" doc:"What the site is called. Its nodes are NAME-1, NAME-2 and so on."`
	Count    int       `yaml:"count" min:"1" max:"20000" doc:"How many nodes it has; without it, the sum of its machines. With --nodes all sites grow or shrink alike."`
	Machines []machine `yaml:"machines" min:"1" max:"1000" need:"" doc:"The kinds of machines, dealt in turn in proportion to their counts."`
	LAN      lan       `yaml:"lan" doc:"The network of the site."`
}

type machine struct {
	Count      int      `yaml:"count" min:"1" max:"20000" default:"1" doc:"How many there are, or with the site's count: their proportion."`
	BPU        numbers  `yaml:"bpu" min:"0.01" max:"1000" default:"1" doc:"The speed of one core, in BPU. A range: each machine draws its own."`
	Slots      counts   `yaml:"slots" max:"1024" default:"4" doc:"How many steps it runs at once; 0 runs none."`
	Toolchains []string `yaml:"toolchains" max:"100" doc:"Toolchains that it has besides what every node has."`
	Skew       times    `yaml:"skew" default:"0" doc:"How far its clock is ahead."`
	Late       times    `yaml:"late" default:"0" doc:"When it comes, instead of being there from the beginning."`
}

type lan struct {
	Latency     duration `yaml:"latency" default:"200us" doc:"How long a packet takes at least, one way."`
	Jitter      duration `yaml:"jitter" default:"100us" doc:"How much longer it may take, evenly."`
	Bandwidth   rate     `yaml:"bandwidth" default:"1Gbit" doc:"Of each node's own link."`
	Loss        float64  `yaml:"loss" min:"0" max:"0.9" doc:"The chance that a packet is lost."`
	Duplication float64  `yaml:"duplication" min:"0" max:"0.9" doc:"The chance that a packet comes twice."`
	Reordering  float64  `yaml:"reordering" min:"0" max:"0.9" doc:"The chance that a packet is overtaken."`
}

type link struct {
	Between     []string `yaml:"between" need:"" min:"2" max:"100" doc:"The sites; of more than two, each pair."`
	Latency     duration `yaml:"latency" need:"" doc:"How long a packet takes at least, one way."`
	Jitter      duration `yaml:"jitter" default:"0" doc:"How much longer it may take, evenly."`
	Bandwidth   rate     `yaml:"bandwidth" default:"1Gbit" doc:"Of the whole link; all share it."`
	Loss        float64  `yaml:"loss" min:"0" max:"0.9" doc:"The chance that a packet is lost."`
	Duplication float64  `yaml:"duplication" min:"0" max:"0.9" doc:"The chance that a packet comes twice."`
	Reordering  float64  `yaml:"reordering" min:"0" max:"0.9" doc:"The chance that a packet is overtaken."`
}

type churn struct {
	Share    float64  `yaml:"share" need:"" min:"0" max:"1" doc:"The share of all nodes that die in a minute. Who asks for a build is spared: a build ends with its initiator."`
	Away     times    `yaml:"away" default:"30s..90s" doc:"How long each stays away."`
	From     duration `yaml:"from" default:"0" doc:"When it begins."`
	Duration duration `yaml:"for" default:"1m" doc:"How long it goes on."`
}

type build struct {
	Name    string   `yaml:"name" doc:"What the build is called; of several, NAME-1, NAME-2 and so on."`
	Count   int      `yaml:"count" min:"1" max:"5000" doc:"How many there are; 1 without it."`
	Per     int      `yaml:"per" min:"1" max:"20000" doc:"Instead of count: one for each so many nodes."`
	Shape   string   `yaml:"shape" need:"" enum:"chain,wide,layers,diamond,compile,packages" doc:"chain: each step waits for the one before. wide: one step waits for all others. layers: each waits for three of the layer below. diamond: one, many, one. compile: a C project: objects, archives, programs. packages: a repository whose packages wait for near ones."`
	Steps   counts   `yaml:"steps" need:"" min:"1" max:"50000" doc:"About how many steps each has."`
	Width   int      `yaml:"width" min:"1" max:"500" default:"20" doc:"How many steps a layer has, with layers."`
	Cost    numbers  `yaml:"cost" min:"0.001" max:"100000" default:"0.5..4" doc:"What a step costs, in BPU-seconds."`
	Known   float64  `yaml:"known" min:"0" max:"1" default:"1" doc:"The share of steps whose cost the scheduler knows beforehand."`
	Inputs  sizes    `yaml:"inputs" default:"4KiB..64KiB" doc:"What a step reads of the sources."`
	Outputs sizes    `yaml:"outputs" default:"4KiB..256KiB" doc:"What a step makes."`
	At      times    `yaml:"at" default:"0" doc:"When each is asked for."`
	From    []string `yaml:"from" max:"1000" doc:"The sites, or nodes, whose users ask for them; without it any."`
	Shared  float64  `yaml:"shared" min:"0" max:"1" doc:"The share of steps whose sources these builds have in common: 1 is the same project, 0 has nothing in common."`

	Toolchain string  `yaml:"toolchain" doc:"A toolchain that its steps need."`
	Here      float64 `yaml:"here" min:"0" max:"1" doc:"The share of steps that only the initiator may run."`
	Failing   float64 `yaml:"failing" min:"0" max:"1" doc:"The share of steps that fail."`
	Killing   float64 `yaml:"killing" min:"0" max:"1" doc:"The share of steps that end the node that runs them."`
	Careless  float64 `yaml:"careless" min:"0" max:"1" doc:"The share of steps that make something else each time."`
	Losing    float64 `yaml:"losing" min:"0" max:"1" doc:"The share of steps whose outputs are lost once."`

	KeepGoing bool `yaml:"keep_going" doc:"After a failure, go on with what does not need the failed step."`
	Force     bool `yaml:"force" doc:"Execute every step although its result is known."`
	Local     bool `yaml:"local" doc:"Ask no other machine for bytes or work."`
	Jobs      int  `yaml:"jobs" min:"0" max:"100000" doc:"Run at most so many steps at once; 0 does not bound it."`
}

type limits struct {
	Heal duration `yaml:"heal" default:"0" doc:"When the faults are over: what is cut or slow heals. Without it, when the last fault ends that says how long it lasts."`
	Run  duration `yaml:"run" default:"10m" doc:"How long a build may take after that."`
}

// oneFault is a line in the words of fault.Parse, or the same as a mapping
// that knows the scenario's names.
type oneFault struct {
	line string

	Do     string   `yaml:"do" need:"" enum:"kill,restart,leave,split,slow,clog,stall,break,fail-disk,lose-blobs,cancel,heal" doc:"kill: it ends without a word. restart: it starts again. leave: it ends with a word. split: it, or group, is cut off. slow, clog: it, or its links, work at factor of their speed. stall: it stands still. break: its stream with the leader is cut. fail-disk: factor of what its disk is asked fails. lose-blobs: its store is emptied. cancel: the build is cancelled. heal: what is cut or slow heals."`
	To     string   `yaml:"to" doc:"Whom it strikes: a node, or what a node is in the build when it strikes: leader, standby, second-standby, worker (the busiest), holder (of the newest output), initiator."`
	Build  string   `yaml:"build" doc:"The build that the role is of; the first without it."`
	At     duration `yaml:"at" default:"0" doc:"When it strikes."`
	Share  float64  `yaml:"share" min:"0" max:"1" doc:"Instead of at: it strikes when this share of the build's steps is done."`
	Group  []string `yaml:"group" max:"20000" doc:"Sites and nodes on one side of a split; without it whom it strikes and every third node."`
	OneWay bool     `yaml:"one_way" doc:"Only what the group sends is lost."`
	Deaf   bool     `yaml:"deaf" doc:"Only what is sent to the group is lost."`
	For    duration `yaml:"for" default:"0" doc:"How long it lasts. Without it until everything heals; a killed node stays dead."`
	Factor float64  `yaml:"factor" min:"0" max:"1" doc:"Of slow, clog and fail-disk, between 0 and 1."`
}
