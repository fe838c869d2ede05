#!/bin/bash
# Read by the image's own entry point, whose functions and variables this uses. Backups read triggers, routines and
# events of the database, restores make others and swap them; this server is there to be tried on.
docker_process_sql <<< "GRANT ALL PRIVILEGES ON *.* TO '$MARIADB_USER'@'%' WITH GRANT OPTION;"
