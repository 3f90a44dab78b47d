// Package xmlconf reads OSSEC's XML dialect: ossec.conf, agent.conf, rules and decoders (spec configuration.md, section 1).
//
// The dialect is not XML. A file holds any number of roots; backslash makes the "<" after it literal; entities are never decoded; comments run
// from "<!" to the first "-->" or "!>"; the text of an element is what stands after its last child; text is kept byte for byte, blanks and
// carriage returns included. Read takes exactly the files that OSSEC takes and gives the same error texts with the line of the error, and
// besides, the line where the element in question was opened.
//
// Typical use:
//
//	doc, err := xmlconf.ReadFile("rules/sshd_rules.xml", path) // or Read(name, data)
//	if err != nil { ... }                                      // *xmlconf.Error
//	if err := doc.ApplyVariables(); err != nil { ... }         // rules and decoders only
//	for _, root := range doc.Roots {
//		id, ok := root.Attr("name")
//		for _, child := range root.Children {
//			use(child.Name, child.Text, child.Attrs, child.Line)
//		}
//	}
//
// Besides OSSEC's own limits, the variables step refuses texts that grow beyond 64 KiB and files that grow by more than 32 MiB.
//
// The one invariant: a Node's strings are the bytes of the file (cut at a NUL byte, as every reader of C strings does), never trimmed
// or decoded. Nodes may share memory with one copy of the file, which lives as long as any of them. Node.Etree copies
// an element into beevik/etree for writing and for path queries.
package xmlconf
