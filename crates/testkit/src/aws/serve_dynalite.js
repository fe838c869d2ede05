// Serves dynalite on a free port of loopback, and writes the port into the file `port`.
const fs = require('fs')

const server = require(process.argv[2])({ createTableMs: 0, updateTableMs: 0, deleteTableMs: 0 })
server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync('port.new', String(server.address().port))
  fs.renameSync('port.new', 'port')
})
