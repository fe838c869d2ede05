//! The network that tasks are started in.

use reqwest::Method;

use super::Moto;

impl Moto {
    /// A subnet of the VPC that every account begins with.
    pub async fn subnet(&self) -> String {
        let asked = self.request(Method::GET, "ec2", "/?Action=DescribeSubnets&Version=2016-11-15");
        let answer = asked.send().await.expect("moto answers").text().await.expect("moto answers with text");
        let id = answer.split_once("<subnetId>").and_then(|(_, rest)| rest.split_once("</subnetId>"));
        id.unwrap_or_else(|| panic!("there is no subnet: {answer}")).0.to_owned()
    }
}
