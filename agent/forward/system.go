package forward

// System describes this host as keepalives do: system, node, release, version, machine and the product's version. agent.conf blocks with
// an os attribute match against it (spec configuration.md, section 4).
func System() string { return systemText() }
