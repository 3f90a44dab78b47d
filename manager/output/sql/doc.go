// Package sql writes alerts into the tables that OSSEC's database output fills, in MySQL or PostgreSQL, as <database_output> asks (spec
// outputs.md, section 11). etc/sql holds the scripts that create the tables.
//
// Unlike OSSEC's daemon it uses prepared statements, so texts are stored as they are; stores the time of the alert, not of the insertion; fills
// the table signature; and repeats an alert until it is stored. Only an alert whose values the database refuses is given up.
package sql
