#!/bin/bash
# The databases' logins, by the names that config.yaml gives them.
set -euo pipefail

prefix=${RESPALDO_SECRETS_PREFIX:?}

# A value goes through a file, since everybody in the container can read a command line.
put() {
  local name=$prefix$1 file
  file=$(mktemp)
  printf '%s' "${!1:?}" > "$file"
  if awslocal secretsmanager describe-secret --secret-id "$name" > /dev/null 2>&1; then
    awslocal secretsmanager put-secret-value --secret-id "$name" --secret-string "file://$file" > /dev/null
  else
    awslocal secretsmanager create-secret --name "$name" --secret-string "file://$file" > /dev/null
  fi
  rm -f "$file"
  echo "secret $name is there"
}

for variable in POSTGRES_USER POSTGRES_PASSWORD MONGO_USER MONGO_PASSWORD MARIADB_USER MARIADB_PASSWORD; do
  put "$variable"
done
