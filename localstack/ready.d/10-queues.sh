#!/bin/bash
# The worker's queue, and the one that takes what nobody can read. Making what is there already changes nothing.
set -euo pipefail

queue=${RESPALDO_QUEUE:?}

awslocal sqs create-queue --queue-name "$queue-dead" \
  --attributes MessageRetentionPeriod=1209600 > /dev/null
url=$(awslocal sqs create-queue --queue-name "$queue" --query QueueUrl --output text)
dead=$(awslocal sqs get-queue-url --queue-name "$queue-dead" --query QueueUrl --output text)
arn=$(awslocal sqs get-queue-attributes --queue-url "$dead" --attribute-names QueueArn \
  --query Attributes.QueueArn --output text)
awslocal sqs set-queue-attributes --queue-url "$url" --attributes "{
  \"VisibilityTimeout\": \"960\",
  \"MessageRetentionPeriod\": \"86400\",
  \"RedrivePolicy\": \"{\\\"deadLetterTargetArn\\\": \\\"$arn\\\", \\\"maxReceiveCount\\\": \\\"3\\\"}\"
}"
echo "queue $queue is there"
