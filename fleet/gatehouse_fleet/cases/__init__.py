"""Cases 案件: from an alarm to its evaluation in seven steps, each with a deadline, a light and somebody who is told.

Pure: `calendar`, `deadline`, `lights`, `steps`, `merging`, `ladder`, `policy`. With the database: `intake` (alarms in),
`desk` (people act), `clockwork` (time passes), and what they share (`docket`, `limits`, `inbox`).
"""
